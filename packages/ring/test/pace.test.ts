import { expect, it } from 'vitest'
import { limits } from '../src/limits'
import { Metrics } from '../src/metrics'
import { Pace } from '../src/pace'

function promptTurnsOf(pace: Pace): number {
  let turns = 0
  while (pace.nextTurnIsPrompt()) turns++
  return turns
}

it('who is woken for little is prompt for some turns', () => {
  const metrics = new Metrics()
  const pace = new Pace(metrics)
  expect(promptTurnsOf(pace)).toBe(0)
  metrics.completions += limits.promptCompletions
  pace.woken()
  expect(promptTurnsOf(pace)).toBe(limits.promptTurns)
  pace.woken()
  pace.nextTurnIsPrompt()
  pace.woken()
  expect(promptTurnsOf(pace)).toBe(limits.promptTurns)
})

it('who is woken for much answers together', () => {
  const metrics = new Metrics()
  const pace = new Pace(metrics)
  metrics.completions += limits.promptCompletions + 1
  pace.woken()
  expect(promptTurnsOf(pace)).toBe(0)
  metrics.completions += 1
  pace.woken()
  expect(promptTurnsOf(pace)).toBe(limits.promptTurns)
})
