import { InvalidArgumentError } from 'commander'

/** A reader of a command's option. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return value
    const bounds = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`It must be a whole number ${bounds}.`)
  }
}

export const positive = integer(1, Number.MAX_SAFE_INTEGER)
