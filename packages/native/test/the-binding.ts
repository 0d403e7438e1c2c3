import { binding, unavailable, type Binding } from '../src/index.js'

/** The native half. These tests are for machines that have it: without it they fail, saying why. */
export function theBinding(): Binding {
  if (binding === undefined) throw new Error(unavailable)
  return binding
}
