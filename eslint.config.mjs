import tseslint from 'typescript-eslint';

/** Restrictions for all TypeScript. */
const restricted = [
  {
    selector: 'TSEnumDeclaration',
    message: 'Use a union of literals: it expresses the same and costs nothing at run time.',
  },
  { selector: 'ExportDefaultDeclaration', message: 'Use a named export: it has the same name everywhere.' },
  {
    selector: 'ExportAllDeclaration',
    message: 'Do not re-export modules: import from the module that defines the name.',
  },
  {
    selector: "CallExpression[callee.object.name='jest'][callee.property.name='mock']",
    message: 'Pass a stateful fake through an interface instead.',
  },
];
const modeName = 'Literal[value=/^(iptables|ipvs|nftables|userspace)$/]';
/** Further restrictions for code that may not compare the name of a mode. */
const comparedModes = [`BinaryExpression[operator=/^[!=]==?$/] > ${modeName}`, `SwitchCase > ${modeName}.test`].map(
  (selector) => ({
    selector,
    message:
      'Do not compare the name of a mode: put what differs between modes into src/modes/, or into the data of trace/rules-kind.ts.',
  }),
);

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      'no-restricted-syntax': ['error', ...restricted],
    },
  },
  {
    files: ['src/**/*.ts', 'bin/**/*.ts', 'scripts/**/*.ts'],
    rules: {
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', 50],
      'max-params': ['error', 4],
      'max-depth': ['error', 3],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: { 'max-lines': ['error', { max: 300, skipBlankLines: false, skipComments: false }] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/modes/**'],
    rules: { 'no-restricted-syntax': ['error', ...restricted, ...comparedModes] },
  },
  // These describe packages whose entry points have default exports.
  { files: ['**/*.d.ts'], rules: { 'no-restricted-syntax': 'off' } },
);
