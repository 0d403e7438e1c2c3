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

/** The error of what `signal` has given up, as Node's: whatever the reason, `ABORT_ERR`, caused by it. */
export function abortError(signal: AbortSignal | undefined): Error {
  const error = new Error('The operation was aborted', { cause: signal?.reason })
  return Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' })
}

/** @throws AbortError if `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortError(signal)
}
