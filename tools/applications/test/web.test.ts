import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startHaproxy, startNginx } from '../servers/proxies'
import { findProgram, program } from '../servers/server'
import { application, expectDone, expectTraffic, forTest, need, onSheaf, testTimeoutMs } from './support'

const helloBytes = '{"hello":"world"}'.length
const uploadBytes = 20_000_000

/** @returns how many requests were answered, all of them well. */
async function load(port: number, connections: number): Promise<number> {
  const parameters = ['-t1', `-c${connections}`, '-d2s', `http://127.0.0.1:${port}/`]
  const { stdout } = await promisify(execFile)(program('wrk'), parameters)
  expect(stdout).not.toMatch(/Socket errors|Non-2xx/)
  return Number(/(\d+) requests in/.exec(stdout)?.[1])
}

/** A body there and back. */
async function upload(port: number): Promise<void> {
  const body = randomBytes(uploadBytes)
  const headers = { 'content-type': 'application/octet-stream' }
  const response = await fetch(`http://127.0.0.1:${port}/echo`, { method: 'POST', body, headers })
  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
  expect(hash(new Uint8Array(await response.arrayBuffer()))).toBe(hash(body))
}

describe('web servers and clients, unchanged', { timeout: testTimeoutMs }, () => {
  for (const framework of ['express', 'fastify']) {
    it(`${framework} under wrk, and behind nginx and haproxy`, async (context) => {
      for (const name of ['wrk', 'nginx', 'haproxy']) need(context, name, findProgram(name))
      const server = application(`${framework}.mjs`)
      const port = await server.port()
      let answered = 0
      for (const connections of [1, 64]) answered += await load(port, connections)
      await upload(port)
      for (const start of [startNginx, startHaproxy]) {
        const proxy = await forTest(start(port))
        answered += await load(proxy.port, 32)
        await upload(proxy.port)
      }
      expect(answered).toBeGreaterThan(100)
      const traffic = await server.stop()
      expectTraffic(traffic, { read: 3 * uploadBytes, written: 3 * uploadBytes + answered * helloBytes })
      if (onSheaf) expect(traffic.accepted).toBeGreaterThanOrEqual(65)
    })
  }

  it('ws: both sides', async () => {
    const server = application('ws-server.mjs')
    await expectDone(application('ws-client.mjs', [await server.port()]))
    const large = 8 * 1024 * 1024
    expectTraffic(await server.stop(), { read: large, written: large })
  })

  it('grpc-js: both sides', async () => {
    const server = application('grpc-server.mjs')
    await expectDone(application('grpc-client.mjs', [await server.port()]))
    expectTraffic(await server.stop(), { read: 10_000_000, written: 1_000_000 })
  })

  for (const how of ['registered', 'connector']) {
    it(`undici, ${how}`, async (context) => {
      if (how === 'connector' && !onSheaf) context.skip('SHEAF_APPLICATIONS=node')
      const server = createServer((request, response) => {
        if (request.url === '/echo') request.pipe(response)
        else response.end('{"hello":"world"}')
      })
      await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
      onTestFinished(() => { server.close() })
      const { port } = server.address() as AddressInfo
      await expectDone(application('undici.mjs', [port, how], how === 'connector' ? 'none' : '--import'))
    })
  }
})
