/**
 * What an operator gives to engines that take adapters only when they start, or as a model of their own: the text to put
 * there, the files that go with it, and what to know. Weights are not merged into the base here: an engine that can do
 * neither needs its trainer's own merge (engines.md §5.5, 6.4, 7.4, 8).
 */
import { ADAPTER_NAME, ADAPTER_VERSION, adapterId, engineNameOf } from '../../core/adapter.ts';
import { ServiceError } from '../../core/errors.ts';
import { adapterNumber } from '../address.ts';
import { type AdapterArtefact, ARTEFACT_FILES } from './artefact.ts';

export const EXPORT_KINDS = ['ollama', 'llama-server', 'tgi', 'tensorrt-llm'] as const;
export type ExportKind = (typeof EXPORT_KINDS)[number];

export interface ExportedAdapter {
  readonly name: string;
  readonly version: string;
  readonly artefact: AdapterArtefact;
  /** The artefact's folder as the engine sees it. */
  readonly folder: string;
}

export interface ExportPlan {
  /** For people: what to do, in order, with what to know. */
  readonly text: string;
  /** What may be written as it is, by its relative path. */
  readonly files: readonly { readonly path: string; readonly content: string }[];
}

/**
 * Plans how engines of a kind are given these adapters. `base` is the base model as that engine names it: a path, or a model
 * of Ollama. Throws `bad_request` when a name or path could not stand in the engine's own syntax.
 */
export function exportPlan(kind: ExportKind, base: string, adapters: readonly ExportedAdapter[]): ExportPlan {
  if (adapters.length === 0)
    throw new ServiceError('bad_request', 'there are no adapters to export; name at least one');
  for (const { name, version, folder } of adapters) {
    if (!ADAPTER_NAME.test(name) || !ADAPTER_VERSION.test(version))
      throw new ServiceError('bad_request', `${JSON.stringify(`${name}@${version}`)} is no adapter's name`);
    checkText(folder, kind === 'tgi' ? ',=' : ',');
  }
  checkText(base, '');
  return PLANS[kind](base, adapters);
}

const PLANS: Readonly<
  Record<ExportKind, (base: string, adapters: readonly ExportedAdapter[]) => ExportPlan>
> = {
  ollama: ollamaPlan,
  'llama-server': llamaServerPlan,
  tgi: tgiPlan,
  'tensorrt-llm': tensorRtPlan,
};

/** Text that could end a line or an item early would say something else than was meant. */
function checkText(text: string, separators: string): void {
  const wrong = [...text].find((each) => each < ' ' || each === '"' || separators.includes(each));
  if (text === '' || wrong !== undefined)
    throw new ServiceError(
      'bad_request',
      `the path or model ${JSON.stringify(text)} ${text === '' ? 'is empty' : `holds ${JSON.stringify(wrong)}`}, which the engine would read as something else; choose another`,
    );
}

const ggufOf = ({ folder }: ExportedAdapter) => `${folder.replace(/\/+$/, '')}/${ARTEFACT_FILES.gguf}`;
const engineName = ({ name, version, artefact }: ExportedAdapter) =>
  engineNameOf({ name, version, digest: artefact.digest });
/** For a shell: between single quotes, where nothing has a meaning but the quote itself. */
const quoted = (text: string) =>
  /^[A-Za-z0-9_./:@=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** A model of its own for each adapter. Ollama's names take no `@`: the version is its tag. */
function ollamaPlan(base: string, adapters: readonly ExportedAdapter[]): ExportPlan {
  const models = adapters.map((adapter) => ({
    adapter,
    model: `${adapter.name}:${adapter.version}-${adapter.artefact.digest.slice(0, 8)}`,
    path: `Modelfile.${engineName(adapter)}`,
  }));
  const files = models.map(({ adapter, path }) => ({
    path,
    content: `FROM ${base}\nADAPTER ${ggufOf(adapter)}\n`,
  }));
  const text = [
    '# One model for each adapter; a change between models of one base reloads the runner.',
    ...models.map(({ model, path }) => `ollama create ${quoted(model)} -f ${quoted(path)}`),
  ];
  return { text: lines(text), files };
}

/** Positions on the command line are the ids of `lora: [{id, scale}]`. */
function llamaServerPlan(base: string, adapters: readonly ExportedAdapter[]): ExportPlan {
  const text = [
    '# Ids are positions. A request that names none is spoken by all of them at once (seen on b11434): send a list each time;',
    '# for the base [{"id":0,"scale":0}]. Greenroom does.',
    ...adapters.map((adapter, id) => `#   ${id}: ${adapterId(adapter)}`),
    `llama-server -m ${quoted(base)} --lora ${quoted(adapters.map(ggufOf).join(','))} --lora-init-without-apply --cache-ram 0`,
  ];
  return { text: lines(text), files: [] };
}

/** The first part is what requests name. Given by path, the adapter's base is not compared with the model (utils/adapter.py). */
function tgiPlan(base: string, adapters: readonly ExportedAdapter[]): ExportPlan {
  for (const { artefact } of adapters) for (const name of artefact.targetModules) checkTgiModule(name);
  const list = adapters.map((adapter) => `${engineName(adapter)}=${adapter.folder}`).join(',');
  const text = [
    '# Adapters switch prefix caching off unless PREFIX_CACHING forces it.',
    `LORA_ADAPTERS=${quoted(list)} text-generation-launcher --model-id ${quoted(base)}`,
  ];
  return { text: lines(text), files: [] };
}

/** Modules that TGI looks for in an adapter (utils/adapter.py, build_layer_weight_lookup); it leaves the others out silently. */
const TGI_MODULES: ReadonlySet<string> = new Set([
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
]);

function checkTgiModule(name: string): void {
  if (!TGI_MODULES.has(name)) throw untaken('TGI', name);
}

function untaken(engine: string, module: string): ServiceError {
  return new ServiceError(
    'adapter_incompatible',
    `${engine} takes no adapter of ${module}; train without it, or serve it on another engine`,
  );
}

/** The ids are the adapters' identities inside the engine: from the digest, as the gateway sends them. */
function tensorRtPlan(base: string, adapters: readonly ExportedAdapter[]): ExportPlan {
  const modules = new Set(adapters.flatMap(({ artefact }) => artefact.targetModules.map(tensorRtModule)));
  const options = {
    lora_config: {
      lora_target_modules: [...modules].sort(),
      max_lora_rank: Math.max(...adapters.map(({ artefact }) => artefact.rank)),
      max_loras: adapters.length,
      max_cpu_loras: adapters.length,
    },
  };
  const requests = adapters.map((adapter) => ({
    lora_name: engineName(adapter),
    lora_int_id: adapterNumber(adapter.artefact.digest),
    lora_path: adapter.folder,
  }));
  const text = [
    '# The first request that names an adapter loads it; send each one once before players come.',
    `trtllm-serve ${quoted(base)} --extra_llm_api_options lora.json`,
    ...requests.map((request) => `#   "lora_request": ${JSON.stringify(request)}`),
  ];
  // JSON is YAML.
  return {
    text: lines(text),
    files: [{ path: 'lora.json', content: `${JSON.stringify(options, null, 2)}\n` }],
  };
}

/** TensorRT-LLM's names of PEFT's modules (tensorrt_llm/lora_helper.py, get_default_trtllm_modules_to_hf_modules). */
const TENSORRT_MODULES: Readonly<Record<string, string>> = {
  q_proj: 'attn_q',
  k_proj: 'attn_k',
  v_proj: 'attn_v',
  o_proj: 'attn_dense',
  gate_proj: 'mlp_h_to_4h',
  down_proj: 'mlp_4h_to_h',
  up_proj: 'mlp_gate',
  gate_up_proj: 'mlp_gate_up',
};

function tensorRtModule(name: string): string {
  const module = TENSORRT_MODULES[name];
  if (module === undefined) throw untaken('TensorRT-LLM', name);
  return module;
}

function lines(text: readonly string[]): string {
  return `${text.join('\n')}\n`;
}
