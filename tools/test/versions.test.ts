import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

const root = join(import.meta.dirname, '../..')
const packages = readdirSync(join(root, 'packages'))

interface Manifest {
  readonly version: string
}

function versionOf(directory: string, name: string): string {
  const manifest = readFileSync(join(directory, 'packages', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as Manifest).version
}

function major(version: string): number {
  return Number.parseInt(version, 10)
}

it('no changeset makes a package, or one that has it for a peer, a major version', () => {
  const copy = mkdtempSync(join(tmpdir(), 'sheaf-versions-'))
  onTestFinished(() => {
    rmSync(copy, { recursive: true })
  })
  const manifests = [...packages.map((name) => `packages/${name}`), 'tools'].map((folder) => `${folder}/package.json`)
  for (const file of ['package.json', 'package-lock.json', '.changeset', ...manifests]) {
    cpSync(join(root, file), join(copy, file), { recursive: true })
  }
  const git = (...words: string[]): void => {
    execFileSync('git', ['-c', 'user.email=nobody@localhost', '-c', 'user.name=Nobody', ...words], { cwd: copy })
  }
  git('init', '--quiet')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'as it is')
  const program = createRequire(import.meta.url).resolve('@changesets/cli/bin.js')
  execFileSync(process.execPath, [program, 'version'], { cwd: copy, stdio: 'pipe' })
  const majors = (directory: string): object =>
    Object.fromEntries(packages.map((name) => [name, major(versionOf(directory, name))]))
  expect(majors(copy)).toEqual(majors(root))
})
