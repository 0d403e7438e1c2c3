import { expect, it } from 'vitest'
import { Members } from '../src/members'

it('members are met in the order in which they were added, whatever slots they have', () => {
  const members = new Members<{ readonly name: string }>()
  const names = (): string[] => [...members].map(({ name }) => name)
  for (const [index, slot] of [0, 1, 5].entries()) members.add({ name: `old ${index}` }, slot)
  for (const slot of [0, 5]) members.delete(slot)
  expect(members.size).toBe(1)
  for (const slot of [5, 0, 3]) members.add({ name: `in ${slot}` }, slot)
  expect(names()).toEqual(['old 1', 'in 5', 'in 0', 'in 3'])
  // Those who come and go meanwhile change nothing.
  const met = []
  for (const { name } of members) {
    if (met.push(name) === 1) members.add({ name: 'late' }, 2)
  }
  expect(met).toHaveLength(4)
  expect(names().at(-1)).toBe('late')
  expect(members.size).toBe(5)
})
