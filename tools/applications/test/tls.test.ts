import { describe, expect, it, onTestFinished } from 'vitest'
import { certify } from '../servers/certificate'
import { findProgram } from '../servers/server'
import { application, expectTraffic, need, testTimeoutMs } from './support'

const totalBytes = 100_000_000

describe('tls, unchanged', { timeout: testTimeoutMs }, () => {
  it('100 MB each way by TLS 1.3', async (context) => {
    need(context, 'openssl', findProgram('openssl'))
    const certificate = await certify()
    onTestFinished(() => { certificate.remove() })
    const { keyPath, certificatePath } = certificate
    const server = application('tls-server.mjs', [keyPath, certificatePath, totalBytes])
    const client = application('tls-client.mjs', [await server.port(), certificatePath, totalBytes])
    const [atServer, atClient] = [await server.line(), await client.line()].map((line) => JSON.parse(line) as unknown)
    const { received, sent } = atClient as { received: string, sent: string }
    expect(atServer).toEqual({ receivedBytes: totalBytes, protocol: 'TLSv1.3', received: sent, sent: received })
    expect(atClient).toMatchObject({ receivedBytes: totalBytes, protocol: 'TLSv1.3', authorized: true })
    for (const traffic of [await client.end(), await server.stop()]) {
      expectTraffic(traffic, { read: totalBytes, written: totalBytes })
    }
  })
})
