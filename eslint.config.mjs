import tseslint from 'typescript-eslint';

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
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'A union of literals says the same and costs nothing.' },
        { selector: 'ExportDefaultDeclaration', message: 'A named export has one name everywhere.' },
        { selector: 'ExportAllDeclaration', message: 'No barrels: import from where it is.' },
        {
          selector: "CallExpression[callee.object.name='jest'][callee.property.name='mock']",
          message: 'Put a stateful fake behind a seam.',
        },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }] },
  },
  // Types of packages, whose entry points have default exports.
  { files: ['**/*.d.ts'], rules: { 'no-restricted-syntax': 'off' } },
);
