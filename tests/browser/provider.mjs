// A real identity provider (the npm package oidc-provider) with its development pages, for the console's tests.
// node provider.mjs NODE_MODULES CONSOLE CLIENT SECRET: prints its address and serves until it is ended.
// Everybody may sign in with any password; everybody holds the role hit-fg.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [modules, back, client, secret] = process.argv.slice(2);
// Its warnings about development pages and made-up accounts are right, and would stand before the address.
console.info = console.warn = () => {};
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

const server = createServer();
// Another address than the console's, so that browsers take it for another site.
await new Promise((ready) => server.listen(0, '127.0.0.2', ready));
const issuer = `http://127.0.0.2:${server.address().port}`;

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const provider = new Provider(issuer, {
  clients: [{
    client_id: client,
    client_secret: secret,
    redirect_uris: [`${back}/sign-in/oidc/back`],
    post_logout_redirect_uris: [`${back}/sign-in`],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    id_token_signed_response_alg: 'ES256',
  }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'roles'] },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  pkce: { required: () => true },
  cookies: { keys: ['only for tests'] },
  jwks: { keys: [{ ...key, kid: 'first', use: 'sig', alg: 'ES256' }] },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      name: `${id[0].toUpperCase()}${id.slice(1)} van de aanbieder`,
      roles: ['hit-fg', 'iets-anders'],
    }),
  }),
});
server.on('request', provider.callback());
process.stdout.write(`${issuer}\n`);
