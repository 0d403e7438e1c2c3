import { readFile, writeFile } from 'node:fs/promises'
import { defineConfig } from 'tsup'

/**
 * Builds a published package: one ES module, one CommonJS module, and their declarations, for each entry.
 *
 * Nobody may get two copies of a class (`instanceof` would fail, and a process would have two rings). Where
 * `require()` can load ES modules (Node 20.19, 22.12 and later) the `module-sync` condition gives both module systems
 * the ES module. Everywhere else both get the CommonJS one: `import` finds it behind `index.import.js`, whose names
 * Node reads from the list that esbuild leaves in the CommonJS file for that purpose. `module` is for bundlers, which
 * can put any of it into an ES module then.
 *
 * Dependencies stay imports: `@sheaf/tcp` must find the same `@sheaf/ring` as everybody else in the process. For the
 * same reason one entry of a package imports another by the package's name.
 * @param entries further ones than `src/index.ts`, by the name of what is built.
 */
export function library(entries: Record<string, string> = {}) {
  const entry = { index: 'src/index.ts', ...entries }
  return defineConfig({
    entry,
    format: ['esm', 'cjs'],
    platform: 'node',
    target: 'node20.12',
    external: [/^@sheaf\//],
    clean: true,
    silent: true,
    sourcemap: true,
    esbuildOptions: (options, { format }) => {
      // The sources are in the package beside the maps.
      options.sourcesContent = false
      if (format === 'cjs') options.define = { ...options.define, 'import.meta.filename': '__filename' }
    },
    // tsup sets `baseUrl`, which TypeScript 6 calls deprecated.
    dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
    onSuccess: async () => {
      for (const name of Object.keys(entry)) {
        await writeFile(`dist/${name}.import.js`, await importing(name))
      }
    },
  })
}

/** An ES module of what the CommonJS one exports. Its default is a name like any other to CommonJS, but not here. */
async function importing(name: string): Promise<string> {
  const all = `export * from './${name}.cjs'\n`
  const hasDefault = (await readFile(`dist/${name}.cjs`, 'utf8')).includes('\n  default: () => ')
  return hasDefault ? `${all}import { default as all } from './${name}.cjs'\nexport default all.default\n` : all
}
