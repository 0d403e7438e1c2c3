/** How long and how much the lab measures. */
export interface Plan {
  readonly bufferSizesBytes: readonly number[]
  readonly rounds: number
  /**
   * Before a proxy's first measurement, for the JIT: at 512 KB a burst, hot functions are called some thousand times
   * a second.
   */
  readonly firstWarmUpMs: number
  /** Before each later one, for TCP's windows. */
  readonly warmUpMs: number
  readonly windowMs: number
}

const bufferSizesBytes = [32, 64, 80, 128, 320, 1024, 4096, 16384, 65536]

/** 9 sizes × 6 variants × 3 rounds of 0.4 s: about 100 s with starting and stopping. Two minutes are allowed. */
export const wholePlan: Plan = { bufferSizesBytes, rounds: 3, firstWarmUpMs: 500, warmUpMs: 110, windowMs: 320 }

/** About 20 s of the 30 allowed: the smallest size, where bundles matter most, a middling one, and a whole page. */
export const quickPlan: Plan = {
  bufferSizesBytes: [32, 320, 4096], rounds: 2, firstWarmUpMs: 300, warmUpMs: 110, windowMs: 300,
}

const poolBytes = 512 * 1024
const buffersMin = 8
const buffersMax = 4096

/**
 * Receive buffers for a size: 512 KB of them, which stay in the cache as the pool goes round; but not more than 4096,
 * where more made no difference (a receive completes with at most 512, the kernel makes 32 completions at a time).
 */
export function buffersFor(bufferBytes: number): number {
  const fitting = 2 ** Math.floor(Math.log2(poolBytes / bufferBytes))
  return Math.min(buffersMax, Math.max(buffersMin, fitting))
}
