/** A property that did not hold. `check` names it, as the table of mutations prints it. */
export class Violation extends Error {
  readonly check: string

  constructor(check: string, detail: string) {
    super(detail === '' ? check : `${check}: ${detail}`)
    this.name = 'Violation'
    this.check = check
  }
}

/** @throws Violation unless `holds`. */
export function check(holds: boolean, name: string, detail: string | (() => string) = ''): asserts holds {
  if (!holds) throw new Violation(name, typeof detail === 'string' ? detail : detail())
}
