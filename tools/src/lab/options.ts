import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { integer } from '../integer'
import { type Link, parseLink } from './link'

export interface LabOptions {
  readonly quick: boolean
  readonly reference: boolean
  readonly link?: Link
  readonly rounds?: number
  readonly connections: number
  /** Folder for the results. */
  readonly output: string
}

function link(text: string): Link {
  const parsed = parseLink(text)
  if (parsed === undefined) throw new InvalidArgumentError('It must be a rate such as 1gbit or 100mbit.')
  return parsed
}

/** Reads the command line. @throws CommanderError when all has been said; `exitCode` is 2 if the line was wrong. */
export function parseLabOptions(argv: readonly string[]): LabOptions {
  const command = new Command('lab')
    .description('Measures the proxy between three hosts: throughput and CPU time by buffer size.')
    .option('--quick', 'three sizes, under half a minute', false)
    .option('--link <rate>', 'limit the links, e.g. to 1gbit, and say which buffer size fills them', link)
    .option('--reference', 'also the C program on raw io_uring, which is built first', false)
    .option('--rounds <n>', 'how often each variant has its turn', integer(1, 100))
    .option('--connections <n>', 'connections at once', integer(1, 1000), 1)
    .option('--output <folder>', 'where results.json and results.html go', 'lab-results')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'lab: ')) })
  try {
    command.parse(argv, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode !== 0) error.exitCode = 2
    throw error
  }
  return command.opts<LabOptions>()
}
