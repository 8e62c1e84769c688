/**
 * A question before something that cannot be taken back. The browser's own modal dialog: it keeps the focus, Esc is no,
 * and the focus goes back to where it was. It opens on the harmless answer.
 */
import { type ReactNode, useEffect, useId, useRef } from 'react';

interface ConfirmationProps {
  readonly title: string;
  readonly yes: string;
  readonly no: string;
  /** Whether yes takes something away; it does unless told otherwise. */
  readonly isHarmful?: boolean;
  readonly onYes: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** Is open as long as it is there; `onClose` follows every answer. */
export function Confirmation({
  title,
  yes,
  no,
  isHarmful = true,
  onYes,
  onClose,
  children,
}: ConfirmationProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const harmless = useRef<HTMLButtonElement>(null);
  const titleId = useId();
  const textId = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element?.open === false) element.showModal();
    harmless.current?.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="confirmation"
      aria-labelledby={titleId}
      aria-describedby={textId}
      onClose={onClose}
    >
      <h2 id={titleId}>{title}</h2>
      <div id={textId}>{children}</div>
      <div className="confirmation-answers">
        <button type="button" ref={harmless} onClick={() => dialog.current?.close()}>
          {no}
        </button>
        <button
          type="button"
          className={isHarmful ? 'danger' : 'primary'}
          onClick={() => {
            onYes();
            dialog.current?.close();
          }}
        >
          {yes}
        </button>
      </div>
    </dialog>
  );
}
