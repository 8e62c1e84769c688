/** Where the page starts. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Console } from './console.tsx';
import './styles/tokens.css';
import './styles/base.css';
import './styles/cast-list.css';
import './styles/service.css';
import './styles/frame.css';
import './styles/talk.css';
import './styles/cast.css';
import './styles/jobs.css';
import './styles/compare.css';
import './styles/adapters.css';
import './styles/lines.css';
import './styles/recall.css';

const root = document.getElementById('root');
if (root)
  createRoot(root).render(
    <StrictMode>
      <Console />
    </StrictMode>,
  );
