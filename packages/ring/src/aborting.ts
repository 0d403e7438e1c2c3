/**
 * Calls `abort` when `signal` is aborted, or at once if it is.
 * @returns what takes that back: a signal may outlive by far whoever listens to it.
 */
export function whenAborted(signal: AbortSignal | undefined, abort: () => void): (() => void) | undefined {
  if (signal?.aborted === true) abort()
  if (signal === undefined || signal.aborted) return undefined
  signal.addEventListener('abort', abort, { once: true })
  return () => signal.removeEventListener('abort', abort)
}
