import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'

/** `tools/`, from `tools/dist/`. */
const tools = fileURLToPath(new URL('..', import.meta.url))

/** Builds the C program if its sources have changed. @returns its path. @throws Error with what the compiler said. */
export function buildReferenceProgram(): string {
  const output = join(tools, 'build')
  try {
    execFileSync('make', ['--silent', '-C', join(tools, 'reference'), `OUT=${output}`], { stdio: 'pipe' })
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer }
    const said = stderr?.toString() ?? ''
    const message = `The C program of --reference can't be built; it needs make and a C compiler. ${said}`
    throw new Error(message, { cause: error })
  }
  return join(output, 'reference-proxy')
}
