/**
 * A constructor that can also be called, as Node's older classes can: `Socket()`, and `Socket.call(this)` from the
 * constructor of a subclass made with `util.inherits`. What it constructs has the methods of `methods`, whose own
 * constructor is never called.
 * @param stock Node's own class: what it has made (a `TLSSocket`, a socket from another process) is an instance too.
 * @param initialise does what a constructor does. What it returns, if anything, is what `new` gives.
 */
export function callableClass<C extends abstract new (...args: never) => object, A extends unknown[]>(
  name: string,
  methods: C,
  stock: abstract new (...args: never) => object,
  initialise: (instance: InstanceType<C>, ...args: A) => object | undefined,
): CallableClass<InstanceType<C>, A> {
  const constructor = function (this: object, ...args: A) {
    if (!isPrototypeOf.call(constructor.prototype, this)) return new constructor(...args)
    return initialise(this as InstanceType<C>, ...args)
  } as unknown as CallableClass<InstanceType<C>, A>
  Object.defineProperty(constructor, 'name', { value: name })
  Object.setPrototypeOf(constructor, Object.getPrototypeOf(methods) as object)
  Object.defineProperty(constructor, 'prototype', { value: methods.prototype, writable: true })
  enumerateAs(stock.prototype as object, methods.prototype as object)
  Object.defineProperty(methods.prototype, 'constructor', { value: constructor, writable: true, configurable: true })
  Object.defineProperty(constructor, Symbol.hasInstance, {
    value(this: unknown, instance: unknown): boolean {
      return hasInstance.call(this, instance) || (this === constructor && instance instanceof stock)
    },
  })
  return constructor
}

/** Has `for in` find what it finds in Node's class: methods of `class` are hidden from it, and Node's are not. */
function enumerateAs(stock: object, prototype: object): void {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const enumerable = Object.prototype.propertyIsEnumerable.call(stock, name)
    Object.defineProperty(prototype, name, { enumerable })
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- called with what it is asked of
const { isPrototypeOf } = Object.prototype
const hasInstance = Function.prototype[Symbol.hasInstance]

export interface CallableClass<I, A extends unknown[]> {
  new (...args: A): I
  (...args: A): I
  readonly prototype: I
}

/** Runs the constructor of one of Node's own callable classes on an instance that is there already. */
export function construct(base: unknown, instance: object, ...args: unknown[]): void {
  (base as (this: object, ...args: unknown[]) => void).apply(instance, args)
}
