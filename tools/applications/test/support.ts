import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, type TestContext } from 'vitest'
import { Application, type Traffic } from '../application'
import type { Running } from '../servers/server'

export const testTimeoutMs = 120_000

/**
 * With `SHEAF_APPLICATIONS=node` the programs run on Node's own sockets, and nothing is asked of the ring: to find out
 * whose fault a failure is.
 */
export const onSheaf = process.env.SHEAF_APPLICATIONS !== 'node'

const programs = fileURLToPath(new URL('../programs/', import.meta.url))

/** How a program is told of Sheaf; with `none` it sees to that itself. */
type Preload = '--import' | '-r' | 'none'

/** Skips a test whose server is not on this machine. CI takes that for a failure. */
export function need(context: TestContext, name: string, path: string | undefined): void {
  if (path === undefined) context.skip(`${name} is not installed (.ci/install-servers)`)
}

/** A server that ends with the test. */
export async function forTest<S extends Running | Running[]>(starting: Promise<S>): Promise<S> {
  const started = await starting
  onTestFinished(async () => { await Promise.all([started].flat().map((server) => server.stop())) })
  return started
}

/** A program that ends with the test at the latest. */
export function application(
  name: string,
  parameters: readonly (string | number)[] = [],
  preload: Preload = '--import',
): Application {
  const flags = onSheaf && preload !== 'none' ? [preload, '@sheaf/tcp/register'] : []
  const started = new Application(programs, name, parameters, flags)
  onTestFinished(() => { started.kill() })
  return started
}

/** Holds that at least so many bytes went through Sheaf's ring: not around it. */
export function expectTraffic(traffic: Traffic, least: { read: number, written: number }): void {
  if (!onSheaf) return
  expect(traffic.bytesRead).toBeGreaterThanOrEqual(least.read)
  expect(traffic.bytesWritten).toBeGreaterThanOrEqual(least.written)
}

/**
 * Waits for a client to end well. All that it says, on a line, it has sent and received must have gone through Sheaf.
 */
export async function expectDone(client: Application): Promise<void> {
  const { received, sent } = JSON.parse(await client.line()) as { received: number, sent: number }
  expectTraffic(await client.end(), { read: received, written: sent })
}
