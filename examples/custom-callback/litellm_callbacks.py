# src/core/litellm_callbacks.py
from litellm.integrations.custom_logger import CustomLogger
import logging

logger = logging.getLogger(__name__)

class CustomLiteLLMLogger(CustomLogger):
    """Logger customizado para LiteLLM."""
    
    def log_pre_api_call(self, model, messages, kwargs):
        """Chamado antes da requisição."""
        logger.info(f"Chamando modelo: {model}")
        logger.debug(f"Mensagens: {messages}")
    
    def log_post_api_call(self, kwargs, response_obj, start_time, end_time):
        """Chamado após a requisição."""
        duration = end_time - start_time
        logger.info(f"Requisição concluída em {duration:.2f}s")
    
    def log_stream_event(self, kwargs, response_obj, start_time, end_time):
        """Chamado durante streaming."""
        pass
    
    def log_success_event(self, kwargs, response_obj, start_time, end_time):
        """Chamado em caso de sucesso."""
        logger.info("✅ Requisição bem-sucedida")
    
    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        """Chamado em caso de falha."""
        logger.error("❌ Requisição falhou")

# Registrar o logger
import litellm
litellm.callbacks = [CustomLiteLLMLogger()]
