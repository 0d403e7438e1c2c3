import Table from 'cli-table3'
import type { LabResults, Result } from './results'
import { baseline } from './variants'

/** No colours, and no line between rows: the size in the first column begins a new group. */
const plain = {
  style: { head: [], border: [], compact: true },
}

function number(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? '-' : value.toFixed(digits)
}

/** Three figures that matter, whatever the magnitude. */
function figures(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

function bundleSizes({ buffersPerReceive, buffersPerSend }: Result): string {
  if (buffersPerReceive === undefined) return '-'
  return `${number(buffersPerReceive, 1)} / ${number(buffersPerSend, 1)}`
}

/** The results as a table for a terminal. */
export function resultsTable({ results }: LabResults): string {
  const table = new Table({
    head: ['buffer', 'variant', 'Mbit/s', `× ${baseline.name}`, 'CPU s/GB', 'buffers per receive / send'],
    colAligns: ['right', 'left', 'right', 'right', 'right', 'right'],
    ...plain,
  })
  let lastSize: number | undefined
  for (const result of results) {
    const { bufferBytes, variant, megabitsPerSecond, cpuSecondsPerGigabyte } = result
    const base = results.find((other) => other.bufferBytes === bufferBytes && other.variant === baseline.name)
    table.push([
      bufferBytes === lastSize ? '' : `${bufferBytes}`,
      variant,
      figures(megabitsPerSecond),
      base === undefined ? '-' : number(megabitsPerSecond / base.megabitsPerSecond, 2),
      figures(cpuSecondsPerGigabyte),
      bundleSizes(result),
    ])
    lastSize = bufferBytes
  }
  return table.toString()
}

/** With `--link`: from which buffer size on each variant fills it. */
export function fillsTable({ fills, method }: LabResults): string {
  const table = new Table({ head: ['variant', `fills ${method.link?.rate ?? 'the link'} from`], ...plain })
  for (const { variant, smallestBufferBytes } of fills ?? []) {
    table.push([variant, smallestBufferBytes === undefined ? 'no size measured' : `${smallestBufferBytes} bytes`])
  }
  return table.toString()
}

/** With `--reference`: what Sheaf's proxy costs beside the C program. */
export function referenceTable({ referenceRatios }: LabResults): string {
  const table = new Table({
    head: ['buffer', 'CPU of Sheaf / CPU of C'],
    colAligns: ['right', 'right'],
    ...plain,
  })
  for (const { bufferBytes, cpuRatio } of referenceRatios ?? []) table.push([`${bufferBytes}`, number(cpuRatio, 2)])
  return table.toString()
}
