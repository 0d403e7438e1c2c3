/*
 * Packs the packages, publishes them to a registry on loopback, installs them where nothing of this workspace is in
 * reach, and uses them as strangers would: from an ES module, from CommonJS, and from TypeScript.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Command, InvalidArgumentError } from 'commander'

import { run } from './command'
import { Consumer } from './consumer'
import { StrangersNpm } from './npm'
import { openRegistry } from './registry'
import { packInstalled, packOwn, type Tarball } from './tarballs'

const workspace = fileURLToPath(new URL('../..', import.meta.url))
/** In the order in which they depend on one another. */
const released = ['native', 'ring', 'tcp', 'udp', 'unix']
/** What a consumer gets from elsewhere, packed again as it is installed here: no other registry is needed. */
const others = ['node-addon-api', 'typescript', '@types/node', 'undici-types']

interface Options {
  readonly node: readonly string[]
  readonly sourceBuild: boolean
  readonly keep: boolean
}

const options = new Command('rehearse')
  .description('Installs the packed packages in an empty directory and echoes with them.')
  .option('--node <versions>', 'also run on these versions of Node, from the registry npm is set up with', versions, [])
  .option('--no-source-build', 'do not compile the addon from the sources in its tarball')
  .option('--keep', 'keep the directory it was done in', false)
  .parse()
  .opts<Options>()

function versions(text: string): string[] {
  const list = text.split(',')
  for (const version of list) {
    if (!/^\d+(\.\d+){0,2}$/.test(version)) throw new InvalidArgumentError(`${version} is not a version.`)
  }
  return list
}

async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now()
  try {
    const result = await work()
    console.log(`ok      ${what} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`)
    return result
  } catch (error) {
    console.log(`FAILED  ${what}`)
    throw error
  }
}

async function rehearse(directory: string, signal: AbortSignal): Promise<void> {
  const tarballs = await step(`pack ${released.join(', ')}`, () => packAll(join(directory, 'tarballs'), signal))
  const registry = await step('start a registry on loopback', () => openRegistry(join(directory, 'registry'), signal))
  try {
    const npm = await StrangersNpm.create(join(directory, 'npm'), registry.url, signal)
    await step('publish', async () => {
      for (const { path } of tarballs) await npm.run(['publish', path, '--tag', 'latest'], directory)
    })
    const programs = join(workspace, 'tools/src/release/programs')
    const consumer = await Consumer.create(join(directory, 'consumer'), programs, npm, signal)
    await step('install the adapters in an empty directory', () => consumer.install())
    for (const node of [process.execPath, ...await fetchNodes(join(directory, 'nodes'), signal)]) {
      await useJavaScript(consumer, node)
    }
    await useWithoutRing(consumer)
    await step('npx @sheaf/ring doctor', () => consumer.use('doctor.cjs'))
    for (const moduleKind of ['node16', 'nodenext']) {
      await step(`TypeScript, module ${moduleKind}`, () => consumer.useTypeScript('typed.ts', moduleKind))
    }
    if (options.sourceBuild) {
      await step('compile the addon from its tarball', () => consumer.compileAddon())
      await step('echo with it', () => consumer.use('echo.mjs'))
    }
  } finally {
    await registry.close()
  }
}

async function packAll(into: string, signal: AbortSignal): Promise<Tarball[]> {
  await mkdir(into)
  const { resolve } = createRequire(import.meta.url)
  const tarballs: Tarball[] = []
  for (const name of others) tarballs.push(await packInstalled(dirname(resolve(`${name}/package.json`)), into, signal))
  for (const name of released) tarballs.push(await packOwn(join(workspace, 'packages', name), into, signal))
  return tarballs
}

/** As Node is, and as Nodes before 20.19 are, which can't `require()` an ES module and resolve other files. */
async function useJavaScript(consumer: Consumer, node: string): Promise<void> {
  const { version, canRequireModules } = await consumer.askNode(node)
  for (const flags of canRequireModules ? [[], ['--no-experimental-require-module']] : [[]]) {
    for (const program of ['echo.mjs', 'echo.cjs', 'udp.mjs', 'unix.mjs', 'one-class.cjs']) {
      await step(['Node', version, ...flags, program].join(' '), () => consumer.use(program, node, flags))
    }
    for (const how of ['--import', '--require']) {
      const registered = [...flags, how, '@sheaf/tcp/register', how, '@sheaf/udp/register']
      await step(['Node', version, ...registered, 'application.cjs'].join(' '), () =>
        consumer.use('application.cjs', node, registered))
    }
  }
}

/** What the packages come to where there is no io_uring. */
async function useWithoutRing(consumer: Consumer): Promise<void> {
  const disabled = { SHEAF_DISABLE: '1' }
  const register = ['--import', '@sheaf/tcp/register', '--import', '@sheaf/udp/register']
  await step('echo without io_uring', () => consumer.use('echo.mjs', process.execPath, [], disabled))
  await step('register without io_uring', () =>
    consumer.use('application.cjs', process.execPath, register, disabled))
  await step('npx @sheaf/ring doctor without io_uring', () =>
    consumer.use('doctor.cjs', process.execPath, [], disabled))
}

/** @returns paths of the other Nodes asked for. */
async function fetchNodes(directory: string, signal: AbortSignal): Promise<string[]> {
  if (options.node.length === 0) return []
  await mkdir(directory)
  await writeFile(join(directory, 'package.json'), '{ "private": true }\n')
  const aliases = options.node.map((version) => `node-${version}@npm:node-linux-${process.arch}@${version}`)
  await step(`fetch Node ${options.node.join(', ')}`, () =>
    run('npm', ['install', '--no-audit', '--no-fund', ...aliases], { cwd: directory, timeoutMs: 300_000, signal }))
  return options.node.map((version) => join(directory, 'node_modules', `node-${version}`, 'bin/node'))
}

const interruption = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => { interruption.abort(new Error(`interrupted by ${name}`)) })
}
const directory = await mkdtemp(join(tmpdir(), 'sheaf-rehearsal-'))
try {
  await rehearse(directory, interruption.signal)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  if (options.keep) console.log(`kept    ${directory}`)
  else await rm(directory, { recursive: true, force: true, maxRetries: 3 })
}
