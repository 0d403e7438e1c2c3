import { expect, it } from 'vitest'
import { EnterFlag, shutdownWrite } from '../src/abi'
import { binding, Kernel, socketPair } from './kernel'

/** Owners that note that they are told, in `told`. */
function owners(kernel: Kernel, told: string[]): (name: string) => number {
  return (name) => kernel.table.allocate({ complete: () => { told.push(name) } })
}

/** Where there is a byte to send. */
function byteOf({ native }: Kernel): number {
  const region = native.createRegion(1)
  if (typeof region === 'number') throw new Error(`createRegion: ${region}`)
  return region.address
}

function enter({ native, submissions }: Kernel): void {
  submissions.publish()
  native.enter(0, EnterFlag.GetEvents)
}

it('whoever hands over is told what each completion is of', () => {
  const kernel = new Kernel()
  const told: string[] = []
  const owner = owners(kernel, told)
  const [left, right] = socketPair()
  kernel.submissions.writable(owner('left'), left)
  kernel.submissions.send(owner('send'), left, byteOf(kernel), 1)
  kernel.submissions.writable(owner('right'), right)
  enter(kernel)
  const { completions } = kernel
  const { tail } = completions
  for (let what = ''; what !== 'nothing'; told.push(what)) what = completions.handOver(tail)
  completions.free()
  expect(told).toEqual(['left', 'other', 'send', 'send', 'right', 'other', 'nothing'])
})

it('few are counted without sends, and none of them has ended or failed', () => {
  const kernel = new Kernel()
  const owner = owners(kernel, [])
  const [left, right] = socketPair()
  const { completions, submissions } = kernel
  expect(completions.isFew(0)).toBe(true)
  submissions.writable(owner('left'), left)
  submissions.send(owner('send'), left, byteOf(kernel), 1)
  submissions.writable(owner('right'), right)
  enter(kernel)
  expect([completions.isFew(1), completions.isFew(2)]).toEqual([false, true])
  completions.drain()
  expect(binding.sockets.shutdown(left, shutdownWrite)).toBe(0)
  submissions.send(owner('failure'), left, byteOf(kernel), 1)
  enter(kernel)
  expect(completions.isFew(2)).toBe(false)
})

// npm's `deasync` runs the event loop within a listener.
it('a handler within which more is handed over loses nothing, and gets nothing twice', () => {
  const kernel = new Kernel()
  const { completions, table } = kernel
  const told: string[] = []
  const owner = owners(kernel, told)
  const pairs = [socketPair(), socketPair()]
  kernel.submissions.writable(table.allocate({
    complete: () => {
      told.push('outer')
      kernel.submissions.writable(owner('later'), pairs[1][1])
      enter(kernel)
      completions.drain()
    },
  }), pairs[0][0])
  kernel.submissions.writable(owner('next'), pairs[0][1])
  enter(kernel)
  completions.drain()
  expect(told).toEqual(['outer', 'next', 'later'])
  expect(kernel.metrics.completions).toBe(3)
})
