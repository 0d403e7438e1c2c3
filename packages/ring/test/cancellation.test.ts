import { describe, expect, it } from 'vitest'
import { Cancellation } from '../src/queue/cancellation'

describe('a cancellation of two requests, each by its own', () => {
  const missed = [[1, -2], [-2, 1], [0, 1], [-2, -2]]
  it.each(missed)('that finds %i and %i is made again, when both have answered', (...found) => {
    const cancellation = new Cancellation()
    expect(cancellation.isDue(2, 2)).toBe(true)
    cancellation.answered(found[0])
    expect(cancellation.isDue(2, 2)).toBe(false)
    cancellation.answered(found[1])
    expect(cancellation.isDue(1, 1)).toBe(true)
    cancellation.answered(1)
    expect(cancellation.isDue(1, 1)).toBe(false)
  })

  it('that finds both is not made again', () => {
    const cancellation = new Cancellation()
    expect(cancellation.isDue(2, 2)).toBe(true)
    cancellation.answered(1)
    cancellation.answered(1)
    expect(cancellation.isDue(2, 2)).toBe(false)
  })
})
