import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { mutated, type Mutation, mutations } from '../src/mutation/mutations'

/*
 * esbuild leaves types alone: a mutation with a name that is not declared, as after a renaming, would be "caught" by
 * whatever falls over it first.
 */

const packages = join(import.meta.dirname, '../../packages')
/** A text is left out by many a mutation, and a name that only it used with it. */
const unused = new Set([6133, 6138, 6196])

function textOf({ messageText }: ts.Diagnostic): string {
  return ts.flattenDiagnosticMessageText(messageText, '\n')
}

function optionsIn(directory: string): ts.CompilerOptions {
  const host = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic: ts.Diagnostic) => { throw new Error(textOf(diagnostic)) },
  }
  const configuration = ts.getParsedCommandLineOfConfigFile(join(directory, 'tsconfig.json'), {}, host)
  if (configuration === undefined) throw new Error(`no configuration is in ${directory}`)
  return configuration.options
}

/** The compiler over the sources of `ring`, in which the texts of files can be replaced. */
class Sources {
  readonly #service: ts.LanguageService
  #replaced = { path: '', source: '' }
  #version = 0

  constructor() {
    const directory = join(packages, 'ring')
    const files = [...new Set(mutations.map(({ file }) => join(packages, file)))]
    const options = optionsIn(directory)
    this.#service = ts.createLanguageService({
      fileExists: (path) => ts.sys.fileExists(path),
      readFile: (path) => ts.sys.readFile(path),
      directoryExists: (path) => ts.sys.directoryExists(path),
      getScriptFileNames: () => files,
      getScriptVersion: (path) => path === this.#replaced.path ? String(this.#version) : '0',
      getScriptSnapshot: (path) => {
        const source = path === this.#replaced.path ? this.#replaced.source : ts.sys.readFile(path)
        return source === undefined ? undefined : ts.ScriptSnapshot.fromString(source)
      },
      getCurrentDirectory: () => directory,
      getCompilationSettings: () => options,
      getDefaultLibFileName: (options) => ts.getDefaultLibFilePath(options),
    })
  }

  /** @returns what the compiler has to say of a file of this text. */
  errorsOf(path: string, source: string): string[] {
    this.#replaced = { path, source }
    this.#version++
    return [...this.#service.getSyntacticDiagnostics(path), ...this.#service.getSemanticDiagnostics(path)]
      .filter(({ code }) => !unused.has(code))
      .map(textOf)
  }
}

const sources = new Sources()

function errorsOf(mutation: Mutation): string[] {
  const path = join(packages, mutation.file)
  return sources.errorsOf(path, mutated(mutation, readFileSync(path, 'utf8')))
}

const byName = mutations.map((mutation) => [mutation.name, mutation] as const)

it.each(byName)('%s: it is found, and compiles', (_name, mutation) => {
  expect(errorsOf(mutation)).toEqual([])
}, 60_000)

it('a name that is not declared is noticed', () => {
  const { file, edits: [{ find }] } = mutations[0]
  expect(errorsOf({ name: 'no name', file, edits: [{ find, replace: `undeclared || ${find}` }] }))
    .toEqual(['Cannot find name \'undeclared\'.'])
})
