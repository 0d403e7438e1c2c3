/** The words of `NativeRing.wanted`, where they are explained, by their index. */
export const enum Wish {
  Turn,
  Linked,
  ImmediatesFirst,
  Woken,
  Sent,
  Events,
  Iterations,
  Busy,
  Again,
}

export const wishWords = 9
