import * as net from 'node:net'
import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { stockNet } from '@sheaf/ring'
import { Patches, Registration } from '@sheaf/ring/register'

const exportsOfNet = createRequire(import.meta.url)('node:net') as typeof net

describe('replacing what a module of Node exports', () => {
  const isIP = (): number => 4

  it('is seen by require() and by import, and can be taken back', () => {
    const before = exportsOfNet.isIP
    const registration = new Registration('@sheaf/test', 'node:net', (patches) => {
      patches.replace(exportsOfNet, 'isIP', isIP)
    })
    expect(registration.register()).toBe(true)
    expect(registration.register()).toBe(true)
    expect(exportsOfNet.isIP).toBe(isIP)
    expect(net.isIP).toBe(isIP)
    expect(stockNet.isIP).toBe(before)
    registration.unregister()
    registration.unregister()
    expect(exportsOfNet.isIP).toBe(before)
    expect(net.isIP).toBe(before)
  })

  it('leaves nothing behind when it fails half-way', () => {
    const before = exportsOfNet.isIP
    const registration = new Registration('@sheaf/test', 'node:net', (patches) => {
      patches.replace(exportsOfNet, 'isIP', isIP)
      throw new Error('half-way')
    })
    expect(() => registration.register()).toThrow('half-way')
    expect(exportsOfNet.isIP).toBe(before)
  })

  it('takes changes back in reverse, and properties that were new away', () => {
    const parent = {}
    const target: { value?: number } = {}
    const patches = new Patches()
    patches.replace(target, 'value', 1)
    patches.replace(target, 'value', 2)
    patches.reparent(target, parent)
    expect(Object.getPrototypeOf(target)).toBe(parent)
    patches.undo()
    expect(Object.getPrototypeOf(target)).toBe(Object.prototype)
    expect('value' in target).toBe(false)
  })
})
