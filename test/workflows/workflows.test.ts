/** .github/workflows by GitHub's own parser, with its schema: a mistake there is otherwise seen after the push. */
import { readdirSync, readFileSync } from 'node:fs';
import { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } from '@actions/workflow-parser';

const folder = '.github/workflows';
const files = readdirSync(folder);

async function findErrors(name: string, content: string): Promise<string[]> {
  const { context, value } = parseWorkflow({ name, content }, new NoOperationTraceWriter());
  // Finds what the schema cannot say, as a job that needs one that is not there.
  if (value !== undefined) await convertWorkflowTemplate(context, value);
  return context.errors.getErrors().map(({ message }) => message);
}

test.each(files)('%s', async (file) => {
  expect(await findErrors(file, readFileSync(`${folder}/${file}`, 'utf8'))).toEqual([]);
});

test.each([
  ['jobs:', 'jobs: ['],
  ['runs-on:', 'runs-in:'],
  ['branches:', 'branch:'],
  ['matrix.node }}', 'matrices.node }}'],
  ['timeout-minutes: 15', 'timeout-minutes: soon'],
  ['- run: npm ci', '- runs: npm ci'],
  ['  kernel:', '  kernel:\n    needs: nobody'],
  ['  push:', '  schedule: [{ cron: "every night" }]\n  push:'],
])('%s for %j is found', async (right, wrong) => {
  const text = readFileSync(`${folder}/ci.yaml`, 'utf8');
  const broken = text.replace(right, wrong);
  expect(broken).not.toBe(text);
  expect(await findErrors('ci.yaml', broken)).not.toEqual([]);
});
