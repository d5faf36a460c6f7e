/** jest's globalSetup: dist/ is of the present sources. */
import { execFileSync } from 'node:child_process';

export default function buildBundle(): void {
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: ['ignore', 'ignore', 'inherit'] });
}
