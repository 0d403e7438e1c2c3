import { score } from './report'
import type { Family } from './tree'
import type { Result } from './verdict'

/** Tests that are judged together. */
interface Class {
  readonly name: string
  readonly families: readonly Family[]
  /** The part of those that pass on stock modules which has to pass on Sheaf. */
  readonly least: number
}

const classes: readonly Class[] = [
  { name: 'net', families: ['net', 'pipe'], least: 0.98 },
  { name: 'dgram', families: ['dgram'], least: 0.98 },
  { name: 'http, https, http2, tls', families: ['http', 'https', 'http2', 'tls'], least: 0.95 },
  { name: 'cluster, stream, and others that use sockets', families: ['cluster', 'stream', 'other'], least: 0.95 },
]

/** A class of which there were tests. */
export interface Judged {
  readonly line: string
  readonly enough: boolean
}

export function judgeClasses(results: readonly Result[]): Judged[] {
  const judged: Judged[] = []
  for (const { name, families, least } of classes) {
    const { passed, of } = score(results.filter(({ test }) => families.includes(test.family)))
    if (of === 0) continue
    const percent = (passed / of * 100).toFixed(1)
    const enough = passed >= least * of
    const bar = `${enough ? 'at least' : 'BELOW'} ${least * 100} %`
    judged.push({ line: `${name}: ${passed} of ${of}, ${percent} % (${bar})`, enough })
  }
  return judged
}
