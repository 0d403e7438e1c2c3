import js from '@eslint/js'
import stylistic from '@stylistic/eslint-plugin'
import { defineConfig, globalIgnores } from 'eslint/config'
import typescript from 'typescript-eslint'

/** What a package may import of the others: tools → tcp, udp, unix → ring → native, and nothing the other way. */
const layers = { native: [], ring: ['native'], tcp: ['ring'], udp: ['ring'], unix: ['ring'] }

function layer([name, below]) {
  const allowed = [name, ...below].map((other) => `!@sheaf/${other}`)
  const group = ['@sheaf/*', ...allowed, ...Object.keys(layers).map((other) => `**/${other}/src`), '**/tools/**']
  return {
    files: [`packages/${name}/**`],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group, message: 'Not a layer below this one.' }] }] },
  }
}

/** What tests that stop the clock put theirs in the place of. */
const clock = ['clearImmediate', 'clearTimeout', 'queueMicrotask', 'setImmediate', 'setInterval', 'setTimeout']

export default defineConfig(
  globalIgnores(['**/dist/', '**/build/', '**/build-asan/', '**/prebuilds/', '**/test-results/', '.nx/']),
  js.configs.recommended,
  stylistic.configs.customize({ semi: false, quotes: 'single', indent: 2, braceStyle: '1tbs', arrowParens: true }),
  {
    rules: {
      'eqeqeq': 'error',
      'no-console': 'off',
      '@stylistic/max-len': ['error', { code: 120, ignoreUrls: true }],
      '@stylistic/max-statements-per-line': ['error', { max: 2 }],
      '@stylistic/quotes': ['error', 'single', { avoidEscape: true }],
    },
  },
  {
    files: ['**/*.ts', '**/*.mts', '**/*.cts'],
    extends: [typescript.configs.strictTypeChecked, typescript.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Numbers read well in a message; what must not get there are objects.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // It asks for `!`, which the strict set forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      '@typescript-eslint/prefer-literal-enum-member': ['error', { allowBitwiseExpressions: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', Buffer: 'readonly', URL: 'readonly' } },
  },
  ...Object.entries(layers).map(layer),
  {
    files: ['packages/*/src/**'],
    ignores: ['packages/ring/src/testing/**'],
    rules: {
      'no-restricted-globals': ['error', ...clock.map((name) => ({ name, message: 'See ring/src/timers.ts.' }))],
    },
  },
)
