import type { ServerResponse } from 'node:http';

type Headers = Readonly<Record<string, string>>;

const nosniff = { 'X-Content-Type-Options': 'nosniff' };

export function sendText(response: ServerResponse, code: number, text: string, headers: Headers = {}): void {
  response.writeHead(code, { 'Content-Type': 'text/plain; charset=utf-8', ...nosniff, ...headers });
  response.end(text);
}

export function sendJson(response: ServerResponse, code: number, json: string, headers: Headers = {}): void {
  response.writeHead(code, { 'Content-Type': 'application/json', ...nosniff, ...headers });
  response.end(json);
}
