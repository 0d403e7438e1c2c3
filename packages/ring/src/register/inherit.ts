type Class = object & { readonly prototype: unknown }

/** Has a class inherit from another, in both ways: its instances, and what is on the constructor. */
export function inherit(derived: object, base: object): void {
  Object.setPrototypeOf(derived, base)
  Object.setPrototypeOf((derived as Class).prototype, (base as Class).prototype as object)
}
