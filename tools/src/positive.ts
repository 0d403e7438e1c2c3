import { InvalidArgumentError } from 'commander'

/** Reads an option of a command. */
export function positive(value: string): number {
  const parsed = Number(value)
  if (!Number.isSafeInteger(parsed) || parsed < 1) throw new InvalidArgumentError('must be a positive integer')
  return parsed
}
