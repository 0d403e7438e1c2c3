// Certificates of a server and of a client, made anew.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

function make(directory, name) {
  const files = { key: join(directory, `${name}.key`), cert: join(directory, `${name}.pem`) }
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '2',
    '-keyout', files.key, '-out', files.cert], { stdio: 'ignore' })
  return { key: readFileSync(files.key), cert: readFileSync(files.cert) }
}

export function certificates() {
  const directory = mkdtempSync(join(tmpdir(), 'sheaf-programs-'))
  try {
    const [server, other, client] = ['localhost', 'other.example', 'client'].map((name) => make(directory, name))
    return { server, other, client }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
