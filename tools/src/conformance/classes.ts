import { score } from './report'
import type { Family } from './tree'
import { type Result, verdict } from './verdict'

/** Tests that are judged together. */
interface Class {
  readonly name: string
  readonly families: readonly Family[]
  /** The part of those that pass on stock modules which has to pass on Sheaf. */
  readonly least: number
}

/**
 * The part of a class that may say nothing, as it fails on stock modules, or skips itself. Where CI runs, that is 1 of
 * 157 files of net, none of dgram, 27 of 900 of http to tls, and 5 of 394 of the last class.
 */
const silentMost = 0.05

const classes: readonly Class[] = [
  { name: 'net', families: ['net', 'pipe'], least: 0.98 },
  { name: 'dgram', families: ['dgram'], least: 0.98 },
  { name: 'http, https, http2, tls', families: ['http', 'https', 'http2', 'tls'], least: 0.95 },
  { name: 'cluster, stream, and others that use sockets', families: ['cluster', 'stream', 'other'], least: 0.95 },
]

/** A class of which there were tests. */
export interface Judged {
  readonly line: string
  /** What is wrong with the class as a whole; empty if nothing is. */
  readonly complaints: readonly string[]
}

const percent = (part: number): string => `${Number((part * 100).toFixed(1))} %`

export function judgeClasses(results: readonly Result[]): Judged[] {
  return classes.flatMap((each) => {
    const some = results.filter(({ test }) => each.families.includes(test.family))
    return some.length === 0 ? [] : [judge(each, some)]
  })
}

function judge({ name, least }: Class, results: readonly Result[]): Judged {
  const { passed, of } = score(results)
  const files = results.length
  const silent = results.filter((result) => ['stock', 'skipped'].includes(verdict(result))).length
  const complaints = [
    ...passed < least * of ? [`fewer than ${percent(least)} pass`] : [],
    ...silent > silentMost * files ? [`more than ${percent(silentMost)} say nothing on this machine`] : [],
    ...results.every(({ sheaf }) => sheaf.submissions === 0) ? ['none has used a ring'] : [],
  ].map((complaint) => `${name}: ${complaint}`)
  const passing = `${passed} of ${of} pass, ${of === 0 ? '-' : percent(passed / of)} (at least ${percent(least)})`
  return { line: `${name}: ${passing}; ${silent} of ${files} say nothing (at most ${percent(silentMost)})`, complaints }
}
