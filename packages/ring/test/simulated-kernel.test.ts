import { expect, it } from 'vitest'
import { bundlesWork } from '../src/self-test'
import { SimulatedKernel } from '../src/simulation/kernel'

it('bundles pass their self-test on a simulated kernel', () => {
  const kernel = new SimulatedKernel()
  expect(bundlesWork(kernel.binding)).toBe(true)
  expect(kernel.descriptors.count).toBe(0)
  expect(kernel.violations).toEqual([])
})
