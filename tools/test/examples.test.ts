import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('../../examples', import.meta.url))

/** What each example says when it does what it is an example of. */
const outputs: Record<string, string> = {
  'dns-responder.mjs': 'printer.home: 192.168.0.7\nnas.home: 192.168.0.9\nnobody.home: ENOTFOUND\n',
  'fd-passing-supervisor.mjs': 'served by the first worker\nserved by the second worker\n',
  'statsd-sink.mjs': '{ bytes: 50005000, requests: 10000, restarts: 2 }\n',
}

describe('examples', () => {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.mjs'))) {
    it(`${name} runs and ends`, async () => {
      const child = spawn(process.execPath, [`${folder}/${name}`], { stdio: 'pipe' })
      let output = ''
      let errors = ''
      child.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
      child.stderr.on('data', (chunk: Buffer) => { errors += chunk.toString() })
      const [code] = await once(child, 'close') as [number | null]
      expect({ code, output, errors }).toEqual({ code: 0, output: outputs[name], errors: '' })
    })
  }
})
