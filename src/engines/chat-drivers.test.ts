import { CHAT_CASES, openChatDouble } from '../testing/chat-doubles.ts';
import { engineConformance } from '../testing/engine-conformance.ts';

for (const chatCase of CHAT_CASES) {
  const options = Object.entries(chatCase.options).map(([name, value]) => ` ${name}=${String(value)}`);
  engineConformance(`${chatCase.kind}${options.join('')} before ${chatCase.wire.title}`, () =>
    openChatDouble(chatCase),
  );
}
