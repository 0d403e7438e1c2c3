import type { Command } from 'commander'

/**
 * What a command was asked for: whatever has one of `parts` in its name, or all if none is given. A part that nothing
 * has ends the command: a misspelt name must not look as if all had gone well.
 */
export function named<T extends { readonly name: string }>(
  command: Command, all: readonly T[], parts: readonly string[],
): readonly T[] {
  const has = ({ name }: T, part: string): boolean => name.toLowerCase().includes(part.toLowerCase())
  const unknown = parts.find((part) => !all.some((one) => has(one, part)))
  if (unknown !== undefined) {
    const names = all.map(({ name }) => `  ${name}`).join('\n')
    command.error(`error: nothing has '${unknown}' in its name. There are:\n${names}`)
  }
  return parts.length === 0 ? all : all.filter((one) => parts.some((part) => has(one, part)))
}
