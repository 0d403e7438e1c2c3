import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { program, run, temporaryDirectory } from './server'

export interface Certificate {
  readonly keyPath: string
  readonly certificatePath: string
  remove(): void
}

/** A key, and a certificate of `localhost` that it has signed itself. */
export async function certify(): Promise<Certificate> {
  const directory = temporaryDirectory()
  const [keyPath, certificatePath] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')]
  await run(program('openssl'), [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', keyPath, '-out', certificatePath,
  ])
  return { keyPath, certificatePath, remove: () => { rmSync(directory, { recursive: true }) } }
}
