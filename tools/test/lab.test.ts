import { describe, expect, it } from 'vitest'
import { referenceRatios } from '../src/lab/bench'
import { linkFills, parseLink } from '../src/lab/link'
import { createPattern, PatternCheck, patternBytes, startOf } from '../src/lab/pattern'
import { resultsPage } from '../src/lab/page'
import { buffersFor, quickPlan, wholePlan } from '../src/lab/plan'
import type { LabResults, Result } from '../src/lab/results'
import { fillsTable, resultsTable } from '../src/lab/table'
import { baseline, bundles, referenceBundles, variantsWith } from '../src/lab/variants'
import { median } from '../src/median'

function result(variant: string, bufferBytes: number, megabitsPerSecond: number, cost = 1): Result {
  const sample = { megabitsPerSecond, cpuSecondsPerGigabyte: cost }
  return { variant, bufferBytes, buffers: buffersFor(bufferBytes), ...sample, samples: [sample] }
}

function labResults(results: readonly Result[]): LabResults {
  return {
    takenAt: '2026-01-01T00:00:00.000Z',
    machine: { kernel: '6.18', node: 'v20', cpu: 'a <CPU>', cpus: 2 },
    method: {
      hosts: 'three hosts', congestionControl: 'reno', placement: 'anywhere', rounds: 1, windowMs: 1, connections: 1,
    },
    variants: variantsWith(false),
    results,
  }
}

describe('the median', () => {
  it('is the middle one, or between the two', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })
})

describe('what is to be measured', () => {
  it('fits the time allowed, with a fifth of it for starting and stopping', () => {
    for (const [plan, allowedMs] of [[wholePlan, 120_000], [quickPlan, 30_000]] as const) {
      const proxies = plan.bufferSizesBytes.length * variantsWith(false).length
      const each = plan.rounds * (plan.warmUpMs + plan.windowMs) + plan.firstWarmUpMs - plan.warmUpMs
      expect(proxies * each).toBeLessThan(allowedMs * 4 / 5)
    }
  })

  it('has a power of two of buffers, 512 KB of them where the bounds allow', () => {
    expect(wholePlan.bufferSizesBytes.map(buffersFor)).toEqual([4096, 4096, 4096, 4096, 1024, 512, 128, 32, 8])
  })

  it('measures the C program right after what it is compared with', () => {
    const names = variantsWith(true).map(({ name }) => name)
    expect(names.indexOf(referenceBundles.name)).toBe(names.indexOf(bundles.name) + 1)
  })
})

describe('the link', () => {
  it('has a rate as tc writes it', () => {
    expect(parseLink('1gbit')?.megabitsPerSecond).toBe(1000)
    expect(parseLink('2.5Gbit')?.rate).toBe('2.5gbit')
    expect(parseLink('100mbit')?.payloadMegabitsPerSecond).toBeCloseTo(95.64, 2)
    for (const wrong of ['', 'fast', '1', 'gbit', '-1gbit', '0mbit', '1 gbit', '1gbyte']) {
      expect(parseLink(wrong), wrong).toBeUndefined()
    }
  })

  it('is filled from the smallest buffer after which no larger one fails to', () => {
    const link = parseLink('1gbit')
    if (link === undefined) throw new Error('no link')
    const results = [
      result('a', 32, 500), result('a', 64, 950), result('a', 128, 951),
      result('b', 32, 950), result('b', 64, 700), result('b', 128, 950),
      result('c', 32, 100), result('c', 64, 100), result('c', 128, 900),
    ]
    expect(linkFills(link, ['a', 'b', 'c'], results)).toEqual([
      { variant: 'a', smallestBufferBytes: 64 },
      { variant: 'b', smallestBufferBytes: 128 },
      { variant: 'c' },
    ])
  })
})

describe('the reference ratio', () => {
  it('is the median of pairs, not the ratio of medians', () => {
    const costs = (variant: string, list: number[]): Result => ({
      ...result(variant, 32, 1),
      samples: list.map((cpuSecondsPerGigabyte) => ({ megabitsPerSecond: 1, cpuSecondsPerGigabyte })),
    })
    const results = [costs(bundles.name, [2, 10, 3]), costs(referenceBundles.name, [1, 10, 1])]
    expect(referenceRatios(results)).toEqual([{ bufferBytes: 32, cpuRatio: 2 }])
  })
})

describe('the pattern', () => {
  const pattern = createPattern()

  function stream(connection: number, bytes: number): Buffer {
    const start = startOf(connection)
    const header = Buffer.alloc(4)
    header.writeUInt32LE(start)
    const around = Buffer.concat([pattern.subarray(start), pattern, pattern])
    return Buffer.concat([header, around.subarray(0, bytes)])
  }

  it('passes in any pieces, beyond its end, from any start', () => {
    for (const pieceBytes of [1, 3, 1000, patternBytes]) {
      const check = new PatternCheck(pattern)
      const bytes = stream(7, pieceBytes === 1 ? 5000 : patternBytes + 100)
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        expect(check.add(bytes.subarray(at, at + pieceBytes))).toBeUndefined()
      }
    }
  })

  it('finds a byte that was changed, lost, or doubled, and buffers that changed places', () => {
    const good = stream(0, 4096)
    const broken = {
      changed: Buffer.from(good),
      lost: Buffer.concat([good.subarray(0, 1000), good.subarray(1001)]),
      doubled: Buffer.concat([good.subarray(0, 1000), good.subarray(999)]),
      swapped: Buffer.concat([[0, 996], [1028, 1060], [996, 1028], [1060, 4100]].map(([from, to]) =>
        good.subarray(from, to))),
    }
    broken.changed[1000] ^= 1
    for (const [what, bytes] of Object.entries(broken)) {
      expect(new PatternCheck(pattern).add(bytes), what).toMatch(/^byte 99\d|^byte 100\d/)
    }
  })
})

describe('the page', () => {
  const results = wholePlan.bufferSizesBytes.flatMap((bytes) =>
    variantsWith(false).map(({ name }, index) => result(name, bytes, 10 * (index + 1) * bytes, 100 / bytes)))

  it('stands alone: nothing is fetched and nothing runs', () => {
    const page = resultsPage(labResults(results))
    expect(page).not.toMatch(/<script|<link|<img|@import|url\(|\bsrc=|\bhref=/)
  })

  it('has two charts with a mark, and its value in words, for every result', () => {
    const page = resultsPage(labResults(results))
    expect(page.match(/<svg viewBox/g)).toHaveLength(2)
    expect(page.match(/<title>[^<]+ bytes: /g)).toHaveLength(2 * results.length)
    expect(page).toContain(`<title>${bundles.name}, 32 bytes: 640 Mbit/s</title>`)
  })

  it('puts every mark inside its chart, also with a single size', () => {
    for (const some of [results, results.filter(({ bufferBytes }) => bufferBytes === 80)]) {
      const places = [...resultsPage(labResults(some)).matchAll(/translate\(([^ ]+) ([^)]+)\)/g)]
      expect(places).toHaveLength(2 * some.length)
      for (const [, left, top] of places) {
        expect(Number(left)).toBeGreaterThan(0)
        expect(Number(left)).toBeLessThan(620)
        expect(Number(top)).toBeGreaterThan(0)
        expect(Number(top)).toBeLessThan(420)
      }
    }
  })

  it('says in words what bundles gain, and escapes what it was told', () => {
    const page = resultsPage(labResults(results))
    expect(page).toContain('bundles move 2.0 × as much')
    expect(page).toContain('a &#60;CPU&#62;')
  })
})

describe('the tables', () => {
  it('compare with the baseline of the same size', () => {
    const table = resultsTable(labResults([result(baseline.name, 32, 100), result(bundles.name, 32, 450)]))
    expect(table).toMatch(/bundles\s+│\s+450\s+│\s+4\.50\s+│/)
  })

  it('say so when no size fills the link', () => {
    const link = parseLink('1gbit')
    if (link === undefined) throw new Error('no link')
    const base = labResults([])
    const table = fillsTable({
      ...base,
      method: { ...base.method, link },
      fills: [{ variant: 'a' }, { variant: 'b', smallestBufferBytes: 80 }],
    })
    expect(table).toMatch(/a\s+│ no size measured/)
    expect(table).toMatch(/b\s+│ 80 bytes/)
  })
})
