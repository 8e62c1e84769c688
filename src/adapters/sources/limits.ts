/** Bounds on one fetch of an adapter: nothing that a source does makes it take more, or longer. */
import { DEFAULT_DOWNLOAD_LIMITS, type DownloadLimits } from '../../models/download.ts';

export interface FetchLimits extends DownloadLimits {
  /** Of the weights file. */
  readonly weightsBytesMax: number;
  readonly configBytesMax: number;
  /** Of a listing: what a hub or a bucket says there is in the folder. */
  readonly listedFilesMax: number;
  /** Of a hub's answer that is no file. */
  readonly answerBytesMax: number;
  /** From the first byte asked for to the last one verified, waits and all. */
  readonly totalTimeoutMs: number;
}

/**
 * Weights: rank 64 on every projection of a 70-billion model is 3.3 GB in 32 bits (0.83 billion numbers). A config that
 * PEFT writes has about 1 kB.
 */
export const DEFAULT_FETCH_LIMITS: FetchLimits = {
  ...DEFAULT_DOWNLOAD_LIMITS,
  weightsBytesMax: 4_000_000_000,
  configBytesMax: 1_000_000,
  listedFilesMax: 1_000,
  answerBytesMax: 4_000_000,
  totalTimeoutMs: 3_600_000,
};
