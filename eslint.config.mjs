import tseslint from 'typescript-eslint';

/** In all TypeScript. */
const restricted = [
  { selector: 'TSEnumDeclaration', message: 'A union of literals says the same and costs nothing.' },
  { selector: 'ExportDefaultDeclaration', message: 'A named export has one name everywhere.' },
  { selector: 'ExportAllDeclaration', message: 'No barrels: import from where it is.' },
  {
    selector: "CallExpression[callee.object.name='jest'][callee.property.name='mock']",
    message: 'Put a stateful fake behind a seam.',
  },
];
const modeName = 'Literal[value=/^(iptables|ipvs|nftables|userspace)$/]';
/** Where a mode may not be told by its name. */
const comparedModes = [`BinaryExpression[operator=/^[!=]==?$/] > ${modeName}`, `SwitchCase > ${modeName}.test`].map(
  (selector) => ({
    selector,
    message: 'What differs between modes is said in src/modes/, or is data of trace/rules-kind.',
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
  // Types of packages, whose entry points have default exports.
  { files: ['**/*.d.ts'], rules: { 'no-restricted-syntax': 'off' } },
);
