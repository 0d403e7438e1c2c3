/** The words of `NativeRing.wanted`, where they are explained, by their index. */
export const enum Wish {
  Turn,
  Linked,
  Woken,
  Sent,
  Events,
  Iterations,
  Busy,
  Again,
  Deferred,
  Polling,
}

export const wishWords = 10
