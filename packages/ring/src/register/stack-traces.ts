import { sharedChange } from './patches'

/** From the start of a turn to what runs after an event: those of Node are in C++. */
const framesOfTurn = 4

/**
 * An error shows ten frames unless a program asks for another number, and the `async` functions that were waiting for
 * an event come after those that have told it: they would have no place left.
 */
export const deepenStackTraces = sharedChange(() => {
  const before = Error.stackTraceLimit
  // 0 is no traces. Intrinsics can be frozen.
  if (before > 0) Reflect.set(Error, 'stackTraceLimit', before + framesOfTurn)
  return () => {
    if (Error.stackTraceLimit === before + framesOfTurn) Error.stackTraceLimit = before
  }
})
