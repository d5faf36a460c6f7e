/** jest's globalSetup: dist/ is of the present sources. */
const { execFileSync } = require('node:child_process');

module.exports = () => {
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
};
