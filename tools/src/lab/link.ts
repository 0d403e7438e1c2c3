import type { LinkFill, Result } from './results'

/** A link's rate as `tc` writes it, and as numbers. */
export interface Link {
  readonly rate: string
  readonly megabitsPerSecond: number
  /** What is left of it for TCP's payload. */
  readonly payloadMegabitsPerSecond: number
}

const unitMegabits = new Map([['kbit', 0.001], ['mbit', 1], ['gbit', 1000]])

/** Of each Ethernet frame as `tc` counts it (no preamble, no checksum): IPv4, TCP and its timestamps take the rest. */
const payloadBytesPerFrame = 1448
const frameBytes = 1514

/** A link is full when this part of its payload rate arrives. */
const fullFraction = 0.95

/** @param text such as `1gbit` or `100mbit`. @returns undefined if it is nothing of the kind. */
export function parseLink(text: string): Link | undefined {
  const match = /^(\d+(?:\.\d+)?)(kbit|mbit|gbit)$/i.exec(text)
  const unit = unitMegabits.get((match?.[2] ?? '').toLowerCase()) ?? NaN
  const megabitsPerSecond = Number(match?.[1]) * unit
  if (!(megabitsPerSecond > 0)) return undefined
  const payloadMegabitsPerSecond = megabitsPerSecond * payloadBytesPerFrame / frameBytes
  return { rate: text.toLowerCase(), megabitsPerSecond, payloadMegabitsPerSecond }
}

/** For each variant the smallest buffer from which on the link stays full. */
export function linkFills(link: Link, variants: readonly string[], results: readonly Result[]): LinkFill[] {
  const enough = link.payloadMegabitsPerSecond * fullFraction
  return variants.map((variant) => {
    const bySize = results.filter((result) => result.variant === variant).sort((a, b) => b.bufferBytes - a.bufferBytes)
    let smallest: number | undefined
    for (const { bufferBytes, megabitsPerSecond } of bySize) {
      if (megabitsPerSecond < enough) break
      smallest = bufferBytes
    }
    return smallest === undefined ? { variant } : { variant, smallestBufferBytes: smallest }
  })
}
