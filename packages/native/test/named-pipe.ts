import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A named pipe that nobody writes to, gone when the test is. @returns its path. */
export function namedPipe(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sheaf-native-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  return path
}
