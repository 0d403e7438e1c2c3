import { syncBuiltinESMExports } from 'node:module'

/** Changes to objects of Node's, all of which can be taken back. */
export class Patches {
  readonly #undo: (() => void)[] = []

  /** Gives `target` another value for a property that it has. A function without a name is called as the property. */
  replace<T extends object, K extends keyof T>(target: T, name: K, value: T[K]): void {
    const before = Object.getOwnPropertyDescriptor(target, name)
    if (typeof value === 'function' && value.name === '') {
      Object.defineProperty(value, 'name', { value: String(name), configurable: true })
    }
    Object.defineProperty(target, name, {
      value,
      configurable: true,
      enumerable: before?.enumerable ?? true,
      writable: true,
    })
    this.#undo.push(() => {
      if (before === undefined) Reflect.deleteProperty(target, name)
      else Object.defineProperty(target, name, before)
    })
  }

  /** Has `target` inherit from another object. */
  reparent(target: object, prototype: object | null): void {
    const before = Object.getPrototypeOf(target) as object | null
    Object.setPrototypeOf(target, prototype)
    this.#undo.push(() => { Object.setPrototypeOf(target, before) })
  }

  /** Does something that `undo` takes back. */
  add(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Lets ES modules that import Node's modules by name see the changes. */
  publish(): void {
    syncBuiltinESMExports()
  }

  /** Takes everything back, the last first. */
  undo(): void {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) undo()
    this.publish()
  }
}

/** A change that every registration needs: made for the first, and taken back with the last, in whatever order. */
export function sharedChange(make: () => () => void): (patches: Patches) => void {
  let users = 0
  let takeBack: (() => void) | undefined
  return (patches) => {
    if (users++ === 0) takeBack = make()
    patches.add(() => { if (--users === 0) takeBack?.() })
  }
}
